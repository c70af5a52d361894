{% macro checked_documents(source_name, table_name) -%}
    {{ assay.checked_rows(
        source_name, table_name, key=['document_hash'],
        document='{
            "document_id": "VARCHAR", "title": "VARCHAR", "body": "VARCHAR", "source": "VARCHAR", "tags": "VARCHAR[]",
            "updated_at": "VARCHAR", "deleted": "VARCHAR", "problem": "VARCHAR"
        }',
        columns={
            'document_hash': 'content_hash',
            'document_id': assay.filled('document.document_id'),
            'title': assay.filled('document.title'),
            'body': 'document.body',
            'source': assay.filled('document.source'),
            'tags': 'list_sort(list_distinct(coalesce(document.tags, [])))',
            'is_deleted': 'coalesce(try_cast(document.deleted as boolean), false)',
            'problem': assay.filled('document.problem'),
            'written_at': assay.utc_timestamp('document.updated_at'),
        },
        rules={
            'invalid_updated_at': 'claimed_at is null',
            'unreadable_document': 'problem is not null',
            'empty_document': "not is_deleted and problem is null and not regexp_matches(coalesce(body, ''), '[^\\x00-\\x20\\x7f\\x{85}\\p{Z}]')",
            'binary_document': "not is_deleted and contains(body, chr(0))",
        }
    ) }}
{%- endmacro %}
