{% macro as_landed() -%}
    file_id,
    row_number,
    source_file,
    file_version,
    landed_at,
    loaded_at,
    run_id
{%- endmacro %}
