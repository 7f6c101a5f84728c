"""One module per page: what its template is given."""
