"""What applies to every request: ids, logs, time-outs, headers, errors.

In: a WSGI environ. Out: the application's answer, bounded and logged.
"""
