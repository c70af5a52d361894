{% macro event_before_available(claimed_at, available_at) -%}
    case
        when {{ claimed_at }} < {{ available_at }} then {{ claimed_at }}
        when {{ claimed_at }} is not null then {{ available_at }} - interval 1 microsecond
    end
{%- endmacro %}
