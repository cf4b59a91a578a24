"""The instruments: what is measured on a denoiser, whichever it is.

recovery     what the reverse chain brings back [T26]
stability    four classes of tokens [T26], fixed points [T27], the radius of a basin
entropy      how certain the conditionals are [T28], leave-one-out and posterior [T13]
curvature    how sharply they are peaked [T29]
samples      what a model generates: copies, spurious, new
critic       an n-gram, to judge what is generated from outside
perplexity   the bound on held-out sequences [T8], [T9]
channel      how much a corrupted token tells of the clean one [T42]
extraction   the chance to generate one given sequence, and the samples that takes [T31]-[T34];
             `generated_law`: the chances of all of them, by enumeration
pooled_entropy
             of what is remembered equally well, and how much of its line is bias [T48]
intervals    over training seeds, or by bootstrap over sequences
transition   the number of sequences at which memory turns into generalisation
deployed     all that can be read off one network, without its training data [T46]
verdicts     what may be concluded from that
"""

from minuddm.probes.channel import alpha_of_capacity, channel_capacity
from minuddm.probes.critic import NGram
from minuddm.probes.curvature import Curvature, curvature
from minuddm.probes.deployed import STARTS, Probed, Returned, evaluations, probe
from minuddm.probes.entropy import (
    ConditionalEntropy,
    conditional_entropy,
    divergence,
    entropy,
    leave_one_out_entropy,
)
from minuddm.probes.extraction import (
    Extraction,
    chance_at_least,
    log_weights,
    path_weights,
    sampled,
    samples_needed,
)
from minuddm.probes.generated_law import even_grid, generated_law
from minuddm.probes.intervals import (
    Interval,
    bootstrap_mean,
    mean_interval,
    proportion_interval,
    student_interval,
)
from minuddm.probes.perplexity import held_out_nelbo, nelbo_by_level
from minuddm.probes.pooled_entropy import Pools, Trend, miller_madow, plug_in, pools, trends
from minuddm.probes.recovery import Recovery, recovery
from minuddm.probes.samples import copies, kinds, nearest, threshold, twins
from minuddm.probes.stability import (
    basin_radius,
    class_means,
    fixed_points,
    recovered_after,
    token_classes,
)
from minuddm.probes.transition import (
    Curve,
    curves_cross,
    curves_meet,
    from_the_widest,
    gap_closes,
    plateau_left,
)
from minuddm.probes.verdicts import Gap, Verdict, gaps, memories, verdicts

__all__ = [
    "STARTS",
    "ConditionalEntropy",
    "Curvature",
    "Curve",
    "Extraction",
    "Gap",
    "Interval",
    "NGram",
    "Pools",
    "Probed",
    "Recovery",
    "Returned",
    "Trend",
    "Verdict",
    "alpha_of_capacity",
    "basin_radius",
    "bootstrap_mean",
    "chance_at_least",
    "channel_capacity",
    "class_means",
    "conditional_entropy",
    "copies",
    "curvature",
    "curves_cross",
    "curves_meet",
    "divergence",
    "entropy",
    "evaluations",
    "even_grid",
    "fixed_points",
    "from_the_widest",
    "gap_closes",
    "gaps",
    "generated_law",
    "held_out_nelbo",
    "kinds",
    "leave_one_out_entropy",
    "log_weights",
    "mean_interval",
    "memories",
    "miller_madow",
    "nearest",
    "nelbo_by_level",
    "path_weights",
    "plateau_left",
    "plug_in",
    "pools",
    "probe",
    "proportion_interval",
    "recovered_after",
    "recovery",
    "sampled",
    "samples_needed",
    "student_interval",
    "threshold",
    "token_classes",
    "trends",
    "twins",
    "verdicts",
]
