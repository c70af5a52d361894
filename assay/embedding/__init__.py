"""Make vectors of texts: by the embedded model, sentence-transformers or an endpoint; keep them."""
