{% macro embedded_text(title, heading_path, text) -%}
    array_to_string(list_filter([{{ title }}, {{ heading_path }}, {{ text }}], lambda part: part <> ''), chr(10))
{%- endmacro %}
