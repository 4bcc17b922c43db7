package keep_test

import "github.com/emersion/go-imap/v2/imapserver"

// newSet returns a session with the optional interfaces whose bits are in set, written out so that the test does not lean on the
// generated code.
func newSet(set int, name string, called *string) imapserver.Session {
	s, w := base(name, called)
	switch set {
	case 0:
		return s
	case 1:
		return struct {
			session
			hasNamespace
		}{s, hasNamespace(w)}
	case 2:
		return struct {
			session
			hasMove
		}{s, hasMove(w)}
	case 3:
		return struct {
			session
			hasNamespace
			hasMove
		}{s, hasNamespace(w), hasMove(w)}
	case 4:
		return struct {
			session
			hasSASL
		}{s, hasSASL(w)}
	case 5:
		return struct {
			session
			hasNamespace
			hasSASL
		}{s, hasNamespace(w), hasSASL(w)}
	case 6:
		return struct {
			session
			hasMove
			hasSASL
		}{s, hasMove(w), hasSASL(w)}
	case 7:
		return struct {
			session
			hasNamespace
			hasMove
			hasSASL
		}{s, hasNamespace(w), hasMove(w), hasSASL(w)}
	case 8:
		return struct {
			session
			hasUnauthenticate
		}{s, hasUnauthenticate(w)}
	case 9:
		return struct {
			session
			hasNamespace
			hasUnauthenticate
		}{s, hasNamespace(w), hasUnauthenticate(w)}
	case 10:
		return struct {
			session
			hasMove
			hasUnauthenticate
		}{s, hasMove(w), hasUnauthenticate(w)}
	case 11:
		return struct {
			session
			hasNamespace
			hasMove
			hasUnauthenticate
		}{s, hasNamespace(w), hasMove(w), hasUnauthenticate(w)}
	case 12:
		return struct {
			session
			hasSASL
			hasUnauthenticate
		}{s, hasSASL(w), hasUnauthenticate(w)}
	case 13:
		return struct {
			session
			hasNamespace
			hasSASL
			hasUnauthenticate
		}{s, hasNamespace(w), hasSASL(w), hasUnauthenticate(w)}
	case 14:
		return struct {
			session
			hasMove
			hasSASL
			hasUnauthenticate
		}{s, hasMove(w), hasSASL(w), hasUnauthenticate(w)}
	case 15:
		return struct {
			session
			hasNamespace
			hasMove
			hasSASL
			hasUnauthenticate
		}{s, hasNamespace(w), hasMove(w), hasSASL(w), hasUnauthenticate(w)}
	case 16:
		return struct {
			session
			hasAppendLimit
		}{s, hasAppendLimit(w)}
	case 17:
		return struct {
			session
			hasNamespace
			hasAppendLimit
		}{s, hasNamespace(w), hasAppendLimit(w)}
	case 18:
		return struct {
			session
			hasMove
			hasAppendLimit
		}{s, hasMove(w), hasAppendLimit(w)}
	case 19:
		return struct {
			session
			hasNamespace
			hasMove
			hasAppendLimit
		}{s, hasNamespace(w), hasMove(w), hasAppendLimit(w)}
	case 20:
		return struct {
			session
			hasSASL
			hasAppendLimit
		}{s, hasSASL(w), hasAppendLimit(w)}
	case 21:
		return struct {
			session
			hasNamespace
			hasSASL
			hasAppendLimit
		}{s, hasNamespace(w), hasSASL(w), hasAppendLimit(w)}
	case 22:
		return struct {
			session
			hasMove
			hasSASL
			hasAppendLimit
		}{s, hasMove(w), hasSASL(w), hasAppendLimit(w)}
	case 23:
		return struct {
			session
			hasNamespace
			hasMove
			hasSASL
			hasAppendLimit
		}{s, hasNamespace(w), hasMove(w), hasSASL(w), hasAppendLimit(w)}
	case 24:
		return struct {
			session
			hasUnauthenticate
			hasAppendLimit
		}{s, hasUnauthenticate(w), hasAppendLimit(w)}
	case 25:
		return struct {
			session
			hasNamespace
			hasUnauthenticate
			hasAppendLimit
		}{s, hasNamespace(w), hasUnauthenticate(w), hasAppendLimit(w)}
	case 26:
		return struct {
			session
			hasMove
			hasUnauthenticate
			hasAppendLimit
		}{s, hasMove(w), hasUnauthenticate(w), hasAppendLimit(w)}
	case 27:
		return struct {
			session
			hasNamespace
			hasMove
			hasUnauthenticate
			hasAppendLimit
		}{s, hasNamespace(w), hasMove(w), hasUnauthenticate(w), hasAppendLimit(w)}
	case 28:
		return struct {
			session
			hasSASL
			hasUnauthenticate
			hasAppendLimit
		}{s, hasSASL(w), hasUnauthenticate(w), hasAppendLimit(w)}
	case 29:
		return struct {
			session
			hasNamespace
			hasSASL
			hasUnauthenticate
			hasAppendLimit
		}{s, hasNamespace(w), hasSASL(w), hasUnauthenticate(w), hasAppendLimit(w)}
	case 30:
		return struct {
			session
			hasMove
			hasSASL
			hasUnauthenticate
			hasAppendLimit
		}{s, hasMove(w), hasSASL(w), hasUnauthenticate(w), hasAppendLimit(w)}
	case 31:
		return struct {
			session
			hasNamespace
			hasMove
			hasSASL
			hasUnauthenticate
			hasAppendLimit
		}{s, hasNamespace(w), hasMove(w), hasSASL(w), hasUnauthenticate(w), hasAppendLimit(w)}
	}
	panic("no such set")
}
