{% macro broken_rules(structure, content, contract=none) -%}
case
    {%- for rule_id, condition in structure.items() %}
    when {{ condition }} then ['{{ rule_id }}']
    {%- endfor %}
    else nullif(
        list_filter(
            {% if contract %}list_concat({{ contract }}, {% endif %}[
                {%- for rule_id, condition in content.items() %}
                case when {{ condition }} then '{{ rule_id }}' end{{ ',' if not loop.last }}
                {%- endfor %}
            ]{{ ')' if contract }},
            lambda rule_id: rule_id is not null
        ),
        []
    )
end
{%- endmacro %}
