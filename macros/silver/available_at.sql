{% macro available_at(source_name, table_name, event_at, landed_at='landed_at', written_at=none) -%}
    {%- set declared = namespace(availability=none) -%}
    {%- if execute -%}
        {%- for node in graph.sources.values() if node.source_name == source_name and node.name == table_name -%}
            {%- set declared.availability = node.config.meta.get('availability') -%}
        {%- endfor -%}
        {%- if not declared.availability or declared.availability.at not in ('landed', 'column', 'lag') -%}
            {{ exceptions.raise_compiler_error(
                model.name ~ ": source " ~ source_name ~ "." ~ table_name ~ " must declare meta.availability.at"
                ~ " as one of landed, column, lag"
            ) }}
        {%- endif -%}
    {%- endif -%}
    {%- if not declared.availability or declared.availability.at == 'landed' -%}
        {{ landed_at }}
    {%- elif declared.availability.at == 'column' -%}
        coalesce({{ written_at }}, {{ landed_at }})
    {%- else -%}
        {#- Nothing can be available before it happened, nor after its file has landed. -#}
        coalesce(least({{ event_at }} + interval '{{ declared.availability.lag }}', {{ landed_at }}), {{ landed_at }})
    {%- endif -%}
{%- endmacro %}
