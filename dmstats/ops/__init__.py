"""Operations: logs, metrics, health checks, alerts and scheduled jobs."""
