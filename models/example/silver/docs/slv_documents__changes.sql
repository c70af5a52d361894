{{ assay.document_changes(ref('slv_documents__checked')) }}
