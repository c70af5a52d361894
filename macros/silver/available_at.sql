{% macro available_at(source_name, table_name, event_at, landed_at='landed_at', written_at=none) -%}
    {%- set source_table = source_name ~ '.' ~ table_name -%}
    {%- set availability = var('availability').get(source_table, {}) -%}
    {%- if availability.at == 'landed' -%}
        {{ landed_at }}
    {%- elif availability.at == 'column' and written_at -%}
        {{ assay._within_what_can_be(written_at, event_at, landed_at) }}
    {%- elif availability.at == 'lag' and availability.lag -%}
        {{ assay._within_what_can_be(event_at ~ " + interval '" ~ availability.lag ~ "'", event_at, landed_at) }}
    {%- else -%}
        {{ exceptions.raise_compiler_error(
            model.name ~ ": the var availability must say of " ~ source_table ~ " one of {at: landed}, "
            ~ "{at: lag, lag: 2 seconds} or, where the model passes written_at, {at: column}; it says "
            ~ (availability or 'nothing')
        ) }}
    {%- endif -%}
{%- endmacro %}


{#- Whatever a sender claims: nothing was available before it happened, nor later than its file has landed. -#}
{% macro _within_what_can_be(claimed, event_at, landed_at) -%}
    case
        when {{ event_at }} >= {{ landed_at }} then {{ landed_at }}
        else least(greatest(coalesce({{ claimed }}, {{ landed_at }}), {{ event_at }}), {{ landed_at }})
    end
{%- endmacro %}
