{% macro last_landed(source_node) -%}
select max(landed_at)
from {{ adapter.quote(source_node.database) }}.landing.files
where
    status = 'loaded'
    and source_name = {{ assay._text(source_node.source_name) }}
    and table_name = {{ assay._text(source_node.name) }}
{%- endmacro %}
