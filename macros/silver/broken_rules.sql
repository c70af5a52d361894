{% macro broken_rules(structure, content) -%}
case
    {%- for rule_id, condition in structure.items() %}
    when {{ condition }} then ['{{ rule_id }}']
    {%- endfor %}
    else nullif(
        list_filter(
            [
                {%- for rule_id, condition in content.items() %}
                case when {{ condition }} then '{{ rule_id }}' end{{ ',' if not loop.last }}
                {%- endfor %}
            ],
            lambda rule_id: rule_id is not null
        ),
        []
    )
end
{%- endmacro %}
