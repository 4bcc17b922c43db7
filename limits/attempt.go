package limits

import (
	"time"

	"github.com/imapgate/imapgate/internal/admission"
)

// attempt is a login whose password may be checked. End must be called, and may be called again.
type attempt struct {
	*admission.Attempt[*session]
	session *session
	owner   string        // the key of the user whose password is checked; "" if not known
	guess   turn          // in the queue of its network, after wrong passwords from there
	check   turn          // in the queue of all checks
	delayed bool          // it has waited because of wrong passwords
	paused  time.Duration // while it waited for the time of the next check, not for others in line
	latest  time.Time     // when it stops waiting for others
}

// endCheck gives back the slots that the password check holds, all of them even if a callback
// panics.
func (a *attempt) endCheck() {
	check, guess := a.check, a.guess
	a.check, a.guess = turn{}, turn{}
	defer a.session.exit(&guess)
	a.session.exit(&check)
}

// End gives everything back.
func (a *attempt) End() {
	defer a.Attempt.End()
	a.endCheck()
}
