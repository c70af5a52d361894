{% macro available_at(source_name, table_name, event_at, landed_at='landed_at', written_at=none) -%}
    {%- set source_table = source_name ~ '.' ~ table_name -%}
    {%- set availability = assay._availability(source_table) -%}
    {%- if availability.at == 'landed' -%}
        {{ landed_at }}
    {%- elif availability.at == 'column' and written_at -%}
        {{ assay._within_what_can_be(written_at, event_at, landed_at) }}
    {%- elif availability.at == 'lag' and availability.lag -%}
        {{ assay._within_what_can_be(event_at ~ " + interval '" ~ availability.lag ~ "'", event_at, landed_at) }}
    {%- else -%}
        {{ exceptions.raise_compiler_error(
            model.name ~ ": the YAML of the source " ~ source_table ~ " must say under config.meta.availability one of "
            ~ "{at: landed}, {at: lag, lag: 2 seconds} or, where the model passes written_at, {at: column}; it says "
            ~ (availability or 'nothing')
        ) }}
    {%- endif -%}
{%- endmacro %}


{#- While dbt parses, it knows no source yet. Its unit tests know none at all: Assay's plugin gives them this variable. -#}
{% macro _availability(source_table) -%}
    {%- if not execute -%}
        {{ return({'at': 'landed'}) }}
    {%- endif -%}
    {%- if model.resource_type == 'unit_test' -%}
        {{ return(var('availability', {}).get(source_table, {})) }}
    {%- endif -%}
    {%- do assay._refuse_variable('availability', 'with each source that it names, under config: meta: {availability: {at: landed}}') -%}
    {{ return(assay._source_named(source_table).config.meta.availability or {}) }}
{%- endmacro %}


{#- Corrects the sender's claim: no event is available before it happens, or later than its file lands. -#}
{% macro _within_what_can_be(claimed, event_at, landed_at) -%}
    case
        when {{ event_at }} >= {{ landed_at }} then {{ landed_at }}
        else least(greatest(coalesce({{ claimed }}, {{ landed_at }}), {{ event_at }}), {{ landed_at }})
    end
{%- endmacro %}
