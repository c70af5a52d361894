{{ assay.checked_documents('docs', 'documents') }}
