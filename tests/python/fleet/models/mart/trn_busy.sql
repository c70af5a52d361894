with spine as (select * from {{ ref('lbl_busy') }}),

joined as (

    {{ assay.point_in_time_join('spine', 'prediction_at', [
        {'view': 'ftr_van__use', 'columns': ['trip_count_7d', 'kilometres_sum_28d'], 'derived': ['per_trip']},
    ]) }}

)

select *, {{ assay.temporal_split('prediction_at', [assay.share_of_time('spine', 'prediction_at', 0.7)], '8d') }} as split
from joined
