"""What a run folder tells its readers: lives of samples, tables, pictures' data; read-only."""
