{% set limits = drift_limits() %}
with measures as (

    select * from {{ ref('mon_drift__measures') }}

),

judged as (

    select
        *,
        is_early or least(reference_rows, window_rows) < {{ limits.fewest_rows }} as is_incomplete
    from measures

),

-- Only months before judge a month: what comes later changes no verdict.
remembered as (

    select
        comparison,
        count(*) filter (not is_incomplete) over months_before as windows_before,
        list(psi) filter (not is_incomplete) over months_before as psi_before,
        list(ks) filter (not is_incomplete) over months_before as ks_before,
        list(abs(null_shift)) filter (not is_incomplete) over months_before as null_shift_before
    from judged
    window
        months_before as (
            partition by feature_number, reference_number
            order by month_number
            rows between unbounded preceding and 1 preceding
        )

),

final as (

    select
        comparison,
        windows_before,
        {{ assay._usual_at_most('psi_before', limits) }} as usual_psi,
        {{ assay._usual_at_most('ks_before', limits) }} as usual_ks,
        {{ assay._usual_at_most('null_shift_before', limits) }} as usual_null_shift
    from remembered

)

select * from final
