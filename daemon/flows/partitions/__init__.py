"""Who has an input partition: `sharing` starts one way for each; `handing_over`, then `taking_over`."""
