"""What compose.yaml mounts: configuration files, and the rules and dashboards made from the platform's own."""
