"""Dashboards for Grafana, generated from the table of metrics."""
