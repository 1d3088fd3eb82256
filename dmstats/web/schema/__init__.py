"""What the API accepts and answers, as marshmallow schemas and OpenAPI.

In: raw input. Out: checked values, descriptions.
"""
