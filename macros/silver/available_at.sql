{% macro available_at(source_name, table_name, event_at, landed_at='landed_at', written_at=none) -%}
    {%- set source_table = source_name ~ '.' ~ table_name -%}
    {%- set availability = var('availability').get(source_table, {}) -%}
    {%- if availability.at == 'landed' -%}
        {{ landed_at }}
    {%- elif availability.at == 'column' and written_at -%}
        coalesce({{ written_at }}, {{ landed_at }})
    {%- elif availability.at == 'lag' and availability.lag -%}
        {#- Nothing can be available later than its file has landed, whatever its clock said. -#}
        least(coalesce({{ event_at }} + interval '{{ availability.lag }}', {{ landed_at }}), {{ landed_at }})
    {%- else -%}
        {{ exceptions.raise_compiler_error(
            model.name ~ ": the var availability must say of " ~ source_table ~ " one of {at: landed}, "
            ~ "{at: lag, lag: 2 seconds} or, where the model passes written_at, {at: column}; it says "
            ~ (availability or 'nothing')
        ) }}
    {%- endif -%}
{%- endmacro %}
