{% macro experiment_looks(units, experiments) -%}
with {{ assay._declared_arms(experiments) }},

{{ assay._ready_units(units) }},

{{ assay._moments_of_looks() }},

{{ assay._expected_units() }},

{{ assay._moments_of_arms() }},

{{ assay._compared_arms() }},

{{ assay._tested_arms(units) }}

select
    experiment_name,
    metric_name,
    arm,
    coalesce(looked_on, starts_on) as looked_on,
    metric_type,
    is_control,
    n as unit_count,
    estimate,
    sqrt(variance) as estimate_error,
    difference,
    difference / nullif(abs(control_estimate), 0) as relative_difference,
    sqrt(difference_variance) as difference_error,
    adjusted_difference,
    sqrt(adjusted_variance) as adjusted_error,
    1 - adjusted_variance / nullif(difference_variance, 0) as variance_reduction,
    tested_difference - half_width as lower_bound,
    tested_difference + half_width as upper_bound,
    p_value,
    corrected_p_value,
    {{ assay.normal_tail('tested_difference / sqrt(nullif(tested_variance, 0))') }} as single_look_p_value,
    sample_ratio_p_value,
    coalesce(sample_ratio_p_value < {{ assay._sample_ratio_limit() }}, false) as has_sample_ratio_mismatch,
    case
        when exposed_count = 0 then 'no exposures'
        when n_of_all = 0 then 'waiting'
        when has_sample_ratio_mismatch then 'sample ratio mismatch'
        when is_control then 'control'
        when corrected_p_value <= alpha then if(tested_difference > 0, 'higher', 'lower')
        else 'undecided'
    end as verdict,
    nullif(concat_ws(
        '; ',
        case when verdict = 'no exposures' then 'nobody was exposed: ask POST /experiments/' || experiment_name || '/assign' end,
        case when verdict = 'waiting' then 'nobody was exposed so long ago as the time of attribution, up to when data is known' end,
        case when has_sample_ratio_mismatch then 'arms do not have the shares of units that their weights ask for, so they cannot be compared: find out who is missing' end,
        {{ assay._units_left_out('other_count', 'exposed as another entity than experiments.yml says') }},
        {{ assay._units_left_out('unknown_count', 'exposed to an arm that experiments.yml does not have') }},
        {{ assay._units_left_out('several_count', 'exposed to several arms') }},
        case when weighting_count > 1 then 'weights were changed while it ran, so arms have units of other times: compare with care' end
    ), '') as problem
from tested
{%- endmacro %}


{% macro _units_left_out(number, why) -%}
    case when {{ number }} > 0 then {{ number }} || if({{ number }} = 1, ' unit is', ' units are') || ' left out: {{ why }}' end
{%- endmacro %}


{#- A mismatch is told where chance alone would bring it about once in a thousand looks. -#}
{% macro _sample_ratio_limit() -%}
    0.001
{%- endmacro %}


{% macro _declared_arms(experiments) -%}
declared (
    experiment_name, metric_name, metric_type, arm, is_control, starts_on, alpha, correction, expected_units
) as (

    values
    {% for experiment in experiments %}
    {% set last_experiment = loop.last %}
    {% for metric in experiment.metrics %}
    {% set last_metric = loop.last %}
    {% for arm in experiment.arms %}
    (
        {{ assay._text(experiment.name) }}, {{ assay._text(metric.name) }}, '{{ metric.type }}', {{ assay._text(arm) }},
        {{ loop.first }}, (timestamp '{{ experiment.start }}')::date, {{ experiment.alpha }}::double, '{{ experiment.correction }}',
        {{ experiment.expected_units }}::double
    ){{ ',' if not (loop.last and last_metric and last_experiment) }}
    {% endfor %}
    {% endfor %}
    {% endfor %}

)
{%- endmacro %}


{#- What newly counts at each look, a midnight by which more units are ready and known. Around the mean of all, sums of squares
    keep their digits; and sums of doubles depend on the order of what is added, so here each adds by its own values. -#}
{% macro _ready_units(units) -%}
telling as (

    select
        *,
        (date_trunc('day', ready_at - interval '1 microsecond') + interval '1 day')::date as looked_on,
        -- Of a ratio, units without denominator say nothing.
        coalesce(denominator != 0, true) as is_telling
    from {{ units }}
    where left_out is null and looked_on <= known_until

),

centers as (

    select
        experiment_name,
        metric_name,
        {% for moment in ['value', 'denominator', 'covariate'] %}
        avg({{ moment }} order by {{ moment }}) as {{ moment }}_center{{ ',' if not loop.last }}
        {% endfor %}
    from telling
    group by experiment_name, metric_name

),

ready as (

    select
        telling.* replace (
            telling.value - centers.value_center as value,
            telling.denominator - centers.denominator_center as denominator,
            telling.covariate - centers.covariate_center as covariate
        ),
        centers.* exclude (experiment_name, metric_name)
    from telling
    inner join centers using (experiment_name, metric_name)

)
{%- endmacro %}


{#- Sums of what newly counts at each look. -#}
{% macro _moments_of_looks() -%}
by_look as (

    select
        experiment_name,
        metric_name,
        arm,
        looked_on,
        any_value(value_center) as value_center,
        any_value(denominator_center) as denominator_center,
        any_value(covariate_center) as covariate_center,
        count(*) as n,
        count(*) filter (is_telling) as telling_n,
        {% for name, moment in {
            'v': 'value', 'd': 'denominator', 'x': 'covariate',
            'vv': 'value * value', 'dd': 'denominator * denominator', 'xx': 'covariate * covariate',
            'vd': 'value * denominator', 'vx': 'value * covariate'
        }.items() %}
        fsum({{ moment }} order by {{ moment }}) as {{ name }}{{ ',' if not loop.last }}
        {% endfor %}
    from ready
    group by experiment_name, metric_name, arm, looked_on

),

looks as (

    select distinct
        experiment_name,
        metric_name,
        looked_on
    from by_look

)
{%- endmacro %}


{#- How many units of each arm were to be expected, by the weights that each unit was drawn with. -#}
{% macro _expected_units() -%}
shares as (

    select
        ready.experiment_name,
        ready.metric_name,
        declared.arm,
        ready.looked_on,
        coalesce(ready.weights[declared.arm], 0) as weight,
        weight / nullif(list_sum(list_sort(list(weight) over (
            partition by ready.experiment_name, ready.metric_name, ready.entity_id
        ))), 0) as share
    from ready
    inner join declared
        on ready.experiment_name = declared.experiment_name and ready.metric_name = declared.metric_name

),

expected_by_look as (

    select
        experiment_name,
        metric_name,
        arm,
        looked_on,
        fsum(share order by share) as expected_n
    from shares
    group by experiment_name, metric_name, arm, looked_on

)
{%- endmacro %}


{#- Numbers, means and squares of each arm at each look, of all that counts by then. -#}
{% macro _moments_of_arms() -%}
summed as (

    select
        declared.*,
        looks.looked_on,
        max(by_look.value_center) over so_far_of_all as value_center,
        max(by_look.denominator_center) over so_far_of_all as denominator_center,
        coalesce(sum(by_look.n) over so_far, 0)::bigint as n,
        coalesce(sum(by_look.telling_n) over so_far, 0)::bigint as telling_n,
        sum(expected_by_look.expected_n) over so_far as expected_n,
        {% for moment in ['v', 'd', 'x', 'vv', 'dd', 'xx', 'vd', 'vx'] %}
        sum(by_look.{{ moment }}) over so_far as {{ moment }}{{ ',' if not loop.last }}
        {% endfor %}
    from declared
    left join looks using (experiment_name, metric_name)
    left join by_look using (experiment_name, metric_name, arm, looked_on)
    left join expected_by_look using (experiment_name, metric_name, arm, looked_on)
    window
        so_far as (partition by experiment_name, metric_name, arm order by looked_on),
        so_far_of_all as (partition by experiment_name, metric_name order by looked_on)

),

arms as (

    select
        * exclude (vv, dd, xx, vd, vx),
        v / nullif(n, 0) as v_mean,
        d / nullif(n, 0) as d_mean,
        x / nullif(n, 0) as x_mean,
        greatest(vv - v * v_mean, 0) as vv,
        greatest(dd - d * d_mean, 0) as dd,
        greatest(xx - x * x_mean, 0) as xx,
        vd - v * d_mean as vd,
        vx - v * x_mean as vx
    from summed

),

estimates as (

    select
        *,
        list_sum(list_sort(list(vx) over of_look)) / nullif(list_sum(list_sort(list(xx) over of_look)), 0) as coefficient,
        case
            when metric_type = 'ratio' then (value_center + v_mean) / nullif(denominator_center + d_mean, 0)
            else value_center + v_mean
        end as estimate,
        case metric_type
            when 'ratio' then {{ assay.ratio_variance('n', 'estimate', '(denominator_center + d_mean)', 'vv', 'dd', 'vd') }}
            when 'proportion' then {{ assay.proportion_variance('n', 'estimate') }}
            else {{ assay.mean_variance('n', 'vv') }}
        end as variance,
        case when coefficient is not null then {{ assay.cuped_variance('n', 'vv', 'xx', 'vx', 'coefficient') }} end as cuped_variance
    from arms
    window of_look as (partition by experiment_name, metric_name, looked_on)

)
{%- endmacro %}


{#- Each arm beside the control, and what is known of all. -#}
{% macro _compared_arms() -%}
compared as (

    select
        arms.*,
        controls.estimate as control_estimate,
        arms.n + controls.n as compared_n,
        least(arms.telling_n, controls.telling_n) as telling_n_of_both,
        arms.estimate - controls.estimate as difference,
        arms.variance + controls.variance as difference_variance,
        case when arms.cuped_variance is not null then difference - arms.coefficient * (arms.x_mean - controls.x_mean) end
            as adjusted_difference,
        arms.cuped_variance + controls.cuped_variance as adjusted_variance,
        coalesce(adjusted_difference, difference) as tested_difference,
        coalesce(adjusted_variance, difference_variance) as tested_variance
    from estimates as arms
    left join estimates as controls
        on
            arms.experiment_name = controls.experiment_name
            and arms.metric_name = controls.metric_name
            and arms.looked_on = controls.looked_on
            and controls.is_control
            and not arms.is_control

)
{%- endmacro %}


{#- Each arm tested: as often as there are looks, and beside the other metrics and arms. -#}
{% macro _tested_arms(units) -%}
sequential as (

    select
        *,
        telling_n_of_both >= {{ assay._fewest_units() }}
        -- What varies less than that, varies by roundings.
        and tested_variance > 1e-18 * (estimate ** 2 + control_estimate ** 2) as is_judged,
        case when is_judged then {{ assay.sequential_half_width('tested_variance', 'compared_n', 'alpha', 'expected_units') }} end
            as half_width,
        min(case when is_judged then {{ assay.sequential_p_value('tested_difference', 'tested_variance', 'compared_n', 'alpha', 'expected_units') }} end)
            over so_far as p_value,
        {{ assay.chi_square_tail(
            'list_sum(list_sort(list((n - expected_n) ** 2 / nullif(expected_n, 0)) over of_look))',
            'nullif(count(*) filter (expected_n > 0) over of_look - 1, 0)'
        ) }} as sample_ratio_p_value,
        sum(n) over of_look as n_of_all
    from compared
    window
        so_far as (partition by experiment_name, metric_name, arm order by looked_on),
        of_look as (partition by experiment_name, metric_name, looked_on)

),

exposed as (

    select
        experiment_name,
        metric_name,
        count(*) as exposed_count,
        count(*) filter (left_out = 'another entity') as other_count,
        count(*) filter (left_out = 'unknown arm') as unknown_count,
        count(*) filter (left_out = 'several arms') as several_count,
        count(distinct list_sort(map_entries(weights))) filter (left_out is distinct from 'another entity') as weighting_count
    from {{ units }}
    group by experiment_name, metric_name

),

tested as (

    select
        sequential.*,
        coalesce(exposed.exposed_count, 0) as exposed_count,
        exposed.other_count,
        exposed.unknown_count,
        exposed.several_count,
        exposed.weighting_count,
        case sequential.correction
            when 'holm' then {{ assay.corrected_p_value('p_value', ['sequential.experiment_name', 'looked_on'], 'holm') }}
            else {{ assay.corrected_p_value('p_value', ['sequential.experiment_name', 'looked_on'], 'benjamini_hochberg') }}
        end as corrected_p_value
    from sequential
    left join exposed
        on sequential.experiment_name = exposed.experiment_name and sequential.metric_name = exposed.metric_name

)
{%- endmacro %}


{#- Of fewer units of an arm, the variance is not known well enough for an interval that rests on it: of a ratio whose
    denominator comes of one unit, it is 0. -#}
{% macro _fewest_units() -%}
    50
{%- endmacro %}
