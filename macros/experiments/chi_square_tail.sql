{#- A finite sum (Abramowitz and Stegun, 26.4.4 and 26.4.5): of even degrees a Poisson's, of odd ones after the normal's. -#}
{% macro chi_square_tail(statistic, degrees) -%}
    list_transform([struct_pack(x := ({{ statistic }})::double, k := ({{ degrees }})::bigint)], lambda asked: case
        when asked.x <= 0 then 1
        when asked.x > 0 and asked.k > 0 then if(asked.k % 2 = 1, {{ assay.normal_tail('sqrt(asked.x)') }}, 0) + coalesce(list_sum(list_transform(
            range(asked.k % 2, asked.k, 2),
            lambda term: exp(term / 2.0 * ln(asked.x / 2) - asked.x / 2 - lgamma(term / 2.0 + 1))
        )), 0)
    end)[1]
{%- endmacro %}
