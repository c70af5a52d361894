{% macro within_event_range(instant) -%}
    ({{ instant }} >= timestamp '{{ var("earliest_event_at") }}' and {{ instant }} < timestamp '{{ var("latest_event_at") }}')
{%- endmacro %}
