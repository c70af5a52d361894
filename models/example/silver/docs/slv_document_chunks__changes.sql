{{ assay.chunk_changes(ref('slv_documents__changes'), ref('slv_document_texts')) }}
