{% macro allowed_share(expected, usual_miss, rows, deviations, least_change) -%}
    least(1, {{ expected }} + greatest(
            {{ least_change }},
            {{ deviations }} * {{ assay._deviation_of(usual_miss) }},
            -- Agresti and Coull's share: a baseline of 0 does not make the first fault a broken rule.
            {{ deviations }} * sqrt(({{ expected }} * {{ rows }} + 2) * ({{ rows }} - {{ expected }} * {{ rows }} + 2)) / pow({{ rows }} + 4, 1.5)
        ))
{%- endmacro %}


{#- The standard deviation of values that are spread as chance has it, by their median absolute deviation. -#}
{% macro _deviation_of(usual_miss) -%}
    1.4826 * {{ usual_miss }}
{%- endmacro %}
