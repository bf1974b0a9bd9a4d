"""Alembic revisions of the schema, run by `Database.migrate` at start-up."""
