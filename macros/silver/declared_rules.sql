{% macro declared_rules(listing) -%}
    {%- set found = namespace(rules=listing.config.meta.get('library_rules', [])) -%}
    {%- if execute -%}
        {%- for source in graph.sources.values() -%}
            {%- set found.rules = found.rules + source.config.meta.get('contract_rules', []) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(found.rules) }}
{%- endmacro %}
