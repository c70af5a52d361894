{% macro pii_hash(column, salt) -%}
    case when {{ column }} is not null then sha256({{ salt }} || {{ column }}::varchar) end
{%- endmacro %}
