"""What makes a new PostgreSQL ready for the service: its roles, their passwords, rights and extensions."""
