"""Any number of bars in one answer: CSV, Arrow and Parquet, streamed out of PostgreSQL."""
