package replicate

// probe is a doubt.
type probe struct{}
