{#- Cody's rational approximations of erfc (Mathematics of Computation 23, 1969): DuckDB has none. -#}
{% macro normal_tail(z) -%}
    list_transform([abs({{ z }}) / sqrt(2)], lambda x: case
        when x <= 0.46875 then 1 - x * {{ assay._polynomial('x * x', [
            3.20937758913846947e03, 3.77485237685302021e02, 1.13864154151050156e02, 3.16112374387056560e00,
            1.85777706184603153e-1
        ]) }} / {{ assay._polynomial('x * x', [
            2.84423683343917062e03, 1.28261652607737228e03, 2.44024637934444173e02, 2.36012909523441209e01, 1
        ]) }}
        when x <= 4 then exp(-x * x) * {{ assay._polynomial('x', [
            1.23033935479799725e03, 2.05107837782607147e03, 1.71204761263407058e03, 8.81952221241769090e02,
            2.98635138197400131e02, 6.61191906371416295e01, 8.88314979438837594e00, 5.64188496988670089e-1,
            2.15311535474403846e-8
        ]) }} / {{ assay._polynomial('x', [
            1.23033935480374942e03, 3.43936767414372164e03, 4.36261909014324716e03, 3.29079923573345963e03,
            1.62138957456669019e03, 5.37181101862009858e02, 1.17693950891312499e02, 1.57449261107098347e01, 1
        ]) }}
        else exp(-x * x) / x * (1 / sqrt(pi()) - {{ assay._polynomial('1 / (x * x)', [
            6.58749161529837803e-4, 1.60837851487422766e-2, 1.25781726111229246e-1, 3.60344899949804439e-1,
            3.05326634961232344e-1, 1.63153871373020978e-2
        ]) }} / (x * x) / {{ assay._polynomial('1 / (x * x)', [
            2.33520497626869185e-3, 6.05183413124413191e-2, 5.27905102951428412e-1, 1.87295284992346725e00,
            2.56852019228982242e00, 1
        ]) }})
    end)[1]
{%- endmacro %}


{#- By Horner's rule; the coefficients ascend. Written as DOUBLE: DuckDB takes digits with a point for a decimal. -#}
{% macro _polynomial(x, coefficients) -%}
    {%- for coefficient in coefficients -%}
        ({{ '%.17e' | format(coefficient) }}{% if not loop.last %} + {{ x }} * {% endif %}
    {%- endfor -%}
    {{ ')' * coefficients | length }}
{%- endmacro %}
