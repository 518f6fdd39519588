-- The Prefect server's database beside geomon's own; run once, when PostgreSQL is set up.
CREATE DATABASE prefect;
