package limits

import "github.com/imapgate/imapgate/internal/admission"

// attempt is a login whose password may be checked. It must be ended, which may be done again.
type attempt struct {
	*admission.Attempt[*session]
	session *session
	guess   turn // among the checks of a network from which there were wrong passwords
	check   turn // among all checks
	delayed bool // it has waited because of wrong passwords
}

// endCheck gives back what the check of the password needs.
func (a *attempt) endCheck() {
	a.session.exit(&a.check)
	a.session.exit(&a.guess)
	a.check, a.guess = turn{}, turn{}
}

// End gives everything back.
func (a *attempt) End() {
	a.endCheck()
	a.Attempt.End()
}
