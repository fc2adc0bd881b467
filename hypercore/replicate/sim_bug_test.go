package replicate

// simBug is a mistake made on purpose, which a simulation must find.
type simBug struct {
	name    string
	deliver func(e *simEnd, frame []byte) [][]byte
}

// frame gives what comes instead of a frame.
func (b simBug) frame(e *simEnd, frame []byte) [][]byte {
	if b.deliver != nil {
		return b.deliver(e, frame)
	}
	return [][]byte{frame}
}
