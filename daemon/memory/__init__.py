"""The database: tables, migrations, records, queries."""
