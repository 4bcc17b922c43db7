package wire

// command is what the guard must know of the command that the server works on.
type command uint8

const (
	otherCommand command = iota
	idleCommand
	appendCommand
	loginCommand
	authenticateCommand
	unauthenticateCommand
	startTLSCommand
	searchCommand
)

// commandOf takes the name as [strings.ToUpper] returns it. go-imap compares names that way, and
// takes even "ıdle" for IDLE.
func commandOf(name string) command {
	switch name {
	case "IDLE":
		return idleCommand
	case "APPEND":
		return appendCommand
	case "LOGIN":
		return loginCommand
	case "AUTHENTICATE":
		return authenticateCommand
	case "UNAUTHENTICATE":
		return unauthenticateCommand
	case "STARTTLS":
		return startTLSCommand
	case "SEARCH", "UID SEARCH":
		return searchCommand
	default:
		return otherCommand
	}
}

// beforeLogin holds the commands that may reach the server before login: those of RFC 9051 sections
// 6.1 and 6.2, and ID (RFC 2971).
var beforeLogin = map[string]bool{
	"CAPABILITY": true, "NOOP": true, "LOGOUT": true,
	"STARTTLS": true, "AUTHENTICATE": true, "LOGIN": true,
	"ID": true,
}

// states maps each other command of go-imap to the state that it requires.
var states = map[string]string{
	"UNAUTHENTICATE": "authenticated", "ENABLE": "authenticated", "CREATE": "authenticated",
	"DELETE": "authenticated", "RENAME": "authenticated", "SUBSCRIBE": "authenticated",
	"UNSUBSCRIBE": "authenticated", "STATUS": "authenticated", "LIST": "authenticated",
	"LSUB": "authenticated", "NAMESPACE": "authenticated", "IDLE": "authenticated",
	"SELECT": "authenticated", "EXAMINE": "authenticated", "APPEND": "authenticated",
	"CLOSE": "selected", "UNSELECT": "selected", "FETCH": "selected", "UID FETCH": "selected",
	"EXPUNGE": "selected", "UID EXPUNGE": "selected", "STORE": "selected", "UID STORE": "selected",
	"COPY": "selected", "UID COPY": "selected", "MOVE": "selected", "UID MOVE": "selected",
	"SEARCH": "selected", "UID SEARCH": "selected",
}

// verdict says what happens to a command.
type verdict uint8

const (
	passes  verdict = iota
	refused         // it is dropped and answered
	unknown         // the server gets an unknown command and says BYE
)

// Answers that replace the server's own. They follow the tag.
const (
	answerUnknown     = "BAD Unknown command"
	answerCannot      = "NO [CANNOT] IDLE is switched off on this server"
	answerPrivacy     = "NO [PRIVACYREQUIRED] TLS is required to authenticate"
	answerBeginTLS    = "OK Begin TLS negotiation now"
	answerStartTLSBad = "BAD STARTTLS not available"
	answerTooLarge    = "NO [LIMIT] The command is too large"
	answerTooDeep     = "NO [LIMIT] Search terms are nested too deep"
	answerTooMany     = "NO [LIMIT] Too many search terms"
)

// Texts that follow BYE.
const (
	byeLoginBytes = "[LIMIT] Too much was sent without a login"
	byeTag        = "[LIMIT] The tag of the command is too long"
	byeStalled    = "The rest of the command did not come in time"
)
