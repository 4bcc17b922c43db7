package limits

import "time"

// hangUpCheck is how often a waiting command looks whether its client is still there.
const hangUpCheck = 500 * time.Millisecond

type outcome int

const (
	outcomeReady outcome = iota
	outcomeChanged
	outcomeTimedOut
	outcomeClientGone
)

// await waits until ready or changed is closed, until the deadline, which is never if zero, or until the client has hung up.
func await(ready, changed <-chan struct{}, deadline time.Time, client *socket) outcome {
	var timer *time.Timer
	var tick <-chan time.Time
	for {
		if client.hungUp() {
			return outcomeClientGone
		}
		if pause, ok := untilNextCheck(deadline, client); ok {
			if pause <= 0 {
				return outcomeTimedOut
			}
			if timer == nil {
				timer = time.NewTimer(pause)
				defer timer.Stop()
				tick = timer.C
			} else {
				timer.Reset(pause)
			}
		}
		select {
		case <-ready:
			if client.hungUp() {
				return outcomeClientGone
			}
			return outcomeReady
		case <-changed:
			return outcomeChanged
		case <-tick:
		}
	}
}

// untilNextCheck returns how long to sleep before looking again; ok is false if there is nothing to look at.
func untilNextCheck(deadline time.Time, client *socket) (pause time.Duration, ok bool) {
	switch {
	case deadline.IsZero():
		return hangUpCheck, client.canTell()
	case client.canTell():
		return min(hangUpCheck, time.Until(deadline)), true
	default:
		return time.Until(deadline), true
	}
}
