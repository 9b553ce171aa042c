"""The composition root: builds every part, hands each what it needs, runs the flows until told to stop.

`running` does all of that. `world` opens what is outside, and sees by `starting` that it is there and fits
(topics by `demands`); `assembling` builds the flows over it, and `places` tells where they read and write.
`service` is Toloka behind the ports: that of `app_service` or of `tasks_service`.

Beside the flows: `status` (its sentences from `words`) and `memory`. `checking` is `tolokad check`;
what else operators ask for is in `kit/`.
"""
