{{ assay.change_history(
    ref('slv_document_chunks__changes'),
    entity_keys=['document_id', 'chunk_number'],
    available_at='available_at',
    columns=['source', 'title', 'tags', 'heading_path', 'start_at', 'end_at', 'text', 'tokens', 'chunk_hash'],
    is_deleted='is_deleted',
    change_order='change_order'
) }}
