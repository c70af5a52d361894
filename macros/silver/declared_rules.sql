{% macro declared_rules(listing) -%}
    {%- set found = namespace(rules=listing.config.meta.get('library_rules', [])) -%}
    {%- if execute -%}
        {%- for source in graph.sources.values() -%}
            {%- set found.rules = found.rules + source.config.meta.get('contract_rules', []) -%}
        {%- endfor -%}
    {%- endif -%}
    select *
    from (
        values
        {%- for rule in found.rules %}
        ({{ assay._text(rule.rule_id) }}, {{ assay._text(rule.reason) }}, {{ assay._text(rule.remedy) }}){{ ',' if not loop.last }}
        {%- endfor %}
    ) as rules (rule_id, reason, remedy)
{%- endmacro %}
