{% macro within_event_range(instant) -%}
    {%- set earliest = var('earliest_event_at', '1990-01-01') -%}
    {%- set latest = var('latest_event_at', '2100-01-01') -%}
    ({{ instant }} >= timestamp '{{ earliest }}' and {{ instant }} < timestamp '{{ latest }}')
{%- endmacro %}
