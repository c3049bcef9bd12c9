"""The operations that change identity data, one module for each noun. Each records an audit event in its transaction."""
