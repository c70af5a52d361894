{% macro event_before_available(claimed_at, available_at) -%}
    least({{ claimed_at }}, {{ available_at }} - interval 1 microsecond)
{%- endmacro %}
