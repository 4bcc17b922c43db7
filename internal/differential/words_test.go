package differential_test

import (
	"fmt"
	"strings"
)

// words makes commands of bytes. Each byte is a choice. When no bytes are left, it makes the first
// choice everywhere.
type words struct {
	rest   []byte
	copier bool
	depth  int
}

func (w *words) pick(n int) int {
	if len(w.rest) == 0 {
		return 0
	}
	b := w.rest[0]
	w.rest = w.rest[1:]
	return int(b) % n
}

func (w *words) command(tag string) string {
	template := commands[w.pick(len(commands))]
	text := tag + " " + w.expand(template) + "\r\n"
	if w.copier && strings.HasPrefix(template, "APPEND") {
		return text
	}
	if spoilt := w.spoil(text); loneCRs(spoilt) == loneCRs(text) {
		return spoilt
	}
	return text
}

// loneCRs counts the CRs without LF. A server without IDLE replaces them, so no command may get one
// outside of a literal.
func loneCRs(text string) int { return strings.Count(text, "\r") - strings.Count(text, "\r\n") }

// spoil adds a mistake to some of the commands.
func (w *words) spoil(text string) string {
	at := min(2+w.pick(16), len(text))
	switch w.pick(24) {
	case 1:
		return strings.ToLower(text)
	case 2:
		return strings.TrimSuffix(text, "\r\n")
	case 3:
		return strings.TrimSuffix(text, "\r\n") + "\n"
	case 4:
		return strings.TrimSuffix(text, "\r\n") + " \r\n"
	case 5:
		return strings.Replace(text, " ", "  ", 1)
	case 6:
		return text[:at] + text[min(at+1, len(text)):]
	case 7:
		return text[:at] + w.raw(1) + text[at:]
	case 8:
		return "* " + text[strings.Index(text, " ")+1:]
	case 9:
		return "+ " + text[strings.Index(text, " ")+1:]
	case 10:
		return "\r\n" + text
	}
	return text
}

// raw returns the next n bytes, with each CR replaced.
func (w *words) raw(n int) string {
	n = min(n, len(w.rest))
	text := strings.ReplaceAll(string(w.rest[:n]), "\r", "_")
	w.rest = w.rest[n:]
	return text
}

// expand replaces each %x in the template.
func (w *words) expand(template string) string {
	if w.depth > 6 {
		return "ALL"
	}
	w.depth++
	defer func() { w.depth-- }()
	var b strings.Builder
	for {
		before, after, ok := strings.Cut(template, "%")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		template = after[1:]
		switch kind := after[0]; kind {
		case '%':
			b.WriteByte('%')
		case 'm':
			b.WriteString(w.mailbox())
		case 'b':
			b.WriteString(w.message())
		default:
			all := phrases[kind]
			phrase := all[w.pick(len(all))]
			if kind == 'p' { // a wildcard is not a placeholder
				phrase = strings.NewReplacer("%m", "%m", "%", "%%").Replace(phrase)
			}
			if w.copier && uncopyable.MatchString(phrase) {
				phrase = all[0]
			}
			b.WriteString(w.expand(phrase))
		}
	}
}

func (w *words) mailbox() string {
	choice := w.pick(len(names) + 8)
	if choice < len(names) {
		return w.astring(names[choice])
	}
	return w.astring(w.raw(choice - len(names) + 1))
}

// astring writes the text in any form that a client may choose.
func (w *words) astring(text string) string {
	switch form := w.pick(14); {
	case form >= 1 && form <= 9:
		return literal(form-1, text)
	case form == 10:
		return `"` + text
	case form == 11 && !strings.ContainsAny(text, "\r\n"):
		return text
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

// literal writes the text as a literal in one of nine forms. The last five are mistakes.
func literal(form int, text string) string {
	n := len(text)
	announcement := [...]string{
		fmt.Sprintf("{%d}", n), fmt.Sprintf("{%d+}", n), fmt.Sprintf("~{%d}", n),
		fmt.Sprintf("~{%d+}", n),
		fmt.Sprintf("{%d-}", n), fmt.Sprintf("{%d+}", n+2), "{5000+}", "{104857601}",
		"{99999999999999999999}",
	}[form]
	return announcement + "\r\n" + text
}

// message writes the literal of an APPEND.
func (w *words) message() string {
	bodies := messages
	if !w.copier {
		bodies = append(messages[:len(messages):len(messages)], oddMessages...)
	}
	body := bodies[w.pick(len(bodies))]
	if w.pick(5) == 1 {
		body += strings.Repeat("0123456789abcdef\r\n", 200)
	}
	n := len(body)
	switch form := w.pick(14); {
	case form < 9:
		return literal(form, body)
	case form == 9:
		return fmt.Sprintf("UTF8 (~{%d+}\r\n%s)", n, body)
	case form == 10:
		return fmt.Sprintf("UTF8 (~{%d+}\r\n%s", n, body)
	case form == 11:
		return literal(0, body) + " x"
	case form == 12 && !w.copier:
		return fmt.Sprintf("{%d+}\r\n%s", max(n-3, 0), body)
	default:
		return literal(0, body)
	}
}
