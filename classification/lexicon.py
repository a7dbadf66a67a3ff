"""Phrases of one to three words that people would point at, in named groups; each group is a signal.

encoding.py counts them with the same hashed look-up that finds learned words, so a longer list costs no time. Words
match by their stem; "#time", "#day", "#month", "#date" and "#1" (a one-digit number) match any of their kind.
"""

# Each list is one signal, whose value grows with the number of its phrases in the email.
LEXICON: dict[str, str] = {
    "day named": "#day|today|tomorrow|tonight|next week|this week|this afternoon|this morning|this evening|weekend",
    "month or date named": "#month|#date|#month #1|#month #2|#2 #month|#1 #month|the #2",
    "clock time": "#time|am|pm|noon|midnight|o'clock|est|edt|pst|pdt|cst|gmt|utc|cet|#1 pm|#1 am|#2 am|#2 pm|#1pm",
    "day or hour as a proposal": "at #time|at #1|at #2|by #day|on #day|this #day|next #day|#day at|#day morning|#day afternoon|"
    "#day evening|tomorrow at|tomorrow morning|tomorrow afternoon|tomorrow night|later today|until #time|before #time|after #time|"
    "at noon|around #1|around #time|between #1|btw #1|#day #month|#day or #day|#day works|#time works|in #2 minutes|free #day",
    "meeting words": "meet|meeting|meetings|appointment|get together|lunch|dinner|breakfast|coffee|drinks|happy hour|sit down|"
    "stop by|drop by|come by|swing by|come see me|pull aside|conference call|conf call|teleconference|town hall|luncheon|gala",
    "asking for a call or a talk": "call me|call you|give me a|can you talk|could you talk|can we talk|can we speak|speak with you|"
    "time to talk|time to speak|time to chat|chat with you|quick call|phone call|set up a|set this up|set up time|a time for|"
    "work out a|find a time|find time|some time to|minutes to speak|speak to us|available to speak|interview request|"
    "an interview|interview with|requested to speak|wishes to speak|like to speak|like to talk|like to discuss|schedule a|"
    "on the phone|discuss this|reach you|try you|talk to you|talk with you",
    "asking for a time": "are you available|are you free|you free|you available|your availability|availability|what time|works for you|"
    "work for you|time works|that work|can you do|convenient for you|suits you|does that|can we meet|can you meet|can you join|"
    "can you call|shall we|able to attend|able to join|available for|would you be|let us know|let me know",
    "answer to an invitation": "i'll be there|be there|will be there|unable to attend|can't make|cannot make|cannot attend|i can make|"
    "will attend|going to pass|have to pass|for the invitation|for the invite|for inviting|see you at|see you tomorrow|see you there|"
    "see you then|see you on|works for me|fine with me|count me in|happy to do|happy to meet|would be happy|accepted|declined|i'm free|"
    "i am free|i'm available|i am available",
    "event announced": "join us|join me|all are welcome|will be held|will take place|to be held|speaker|speakers|seminar|workshop|"
    "reception|webinar|conference|rsvp|save the date|venue|location|room|dial in|dial-in|bridge line|passcode|access code|"
    "conference room|zoom|teams|webex|skype|hangout|agenda|invitation|invite|invited|register|registration|symposium|session|"
    "working group|work group|office hours|training|class|party|rally",
    "moved or called off": "cancelled|canceled|cancel|postponed|postpone|reschedule|rescheduled|push back|moved to|has been changed|"
    "new time|instead of|called off|delayed",
    "calendar chores": "calendar|my calendar|your calendar|your schedule|my schedule|schedule|scheduled|scheduled for|itinerary|depart|"
    "arrive|en route|reminder|confirm|confirmed|confirming",
    "past meeting": "minutes of|meeting minutes|notes from|after the meeting|at the meeting|was discussed|we discussed|last meeting|"
    "yesterday's meeting|in the meeting|last week|meeting notes|readout|i spoke|spoke to|spoke with|met with",
    "selling words": "offer|offers|discount|sale|save|savings|buy|order now|order|free|deal|deals|coupon|promo|promotion|price|prices|"
    "shop|limited time|exclusive|special|guarantee|guaranteed|cheap|subscribe|click here|click below|best price|risk free|money back|"
    "act now|bonus|gift card|voucher|win|winner|earn|income|credit|mortgage|viagra|pills|visit our|our products|per month|only $",
    "asking for donations": "donate|donation|chip in|contribute|contribution|contributions|pitch in|campaign|democrats|republican|"
    "matched|match|petition|pledge|fundraising|deadline|paid for by",
    "way out of a mailing": "unsubscribe|opt out|opt-out|be removed|be removed from|remove me|mailing list|email preferences|"
    "view in browser|in your browser|view this email|you received this|are receiving this|no longer wish|privacy policy|all rights reserved",
    "introducing somebody": "introduce|introducing|introduction|introductions|introduced|introduce myself|introduce you|my name is|"
    "i'm the new|am the new|new hire|new member|new to the|new to this|just joined|meet our|to know you|nice to meet|nice meeting|great to meet|"
    "good to meet|good meeting you|pleasure to meet|pleasure meeting|enjoyed meeting|meet you|you two|first day|allow me to|myself|"
    "newest|my background|short bio|a bio|nominate myself|reintroduce",
    "passing on a contact": "copying|i'm copying|am copying|cc'ing|cc'd|copied here|copied above|contact info|contact information|"
    "direct line|in touch with|put you in|connect you|connecting you|connect with|will connect|can respond directly|respond directly|"
    "point of contact|phone number is|email is|his number|her number",
    "appointments and new roles": "has joined|have joined|joined the|joining us|joining our|joining the|will be joining|"
    "pleased to announce|happy to announce|appointed|new role|reporting to|reports to|join me in|promoted to|"
    "organizational change|organizational announcement|welcoming",
    "looking for work": "resume|cv|my resume|curriculum vitae|applying for|application|position|internship|job applicant|candidate|"
    "a student of|job market|good fit",
    "reaching out": "reach out|reaching out|on behalf of|at your disposal|stand ready|collaborate|collaboration|i am writing|"
    "i'm writing|offer our|offering|how can i|partnership|stay in touch|keep in touch|hear from you|remember me|long time",
    "welcome": "welcome|welcome to|welcome aboard|getting started|get started|your account|thanks for joining|for joining|for signing up|"
    "signed up|glad to have|happy to have|onboarding|registering|confirm your|activate your|newcomer|first steps|user name|"
    "your password|log in|for subscribing",
    "wishes": "happy birthday|birthday|happy new year|new year|happy holidays|holidays|merry christmas|christmas|happy thanksgiving|"
    "thanksgiving|season's greetings|happy easter|happy anniversary|anniversary|eid mubarak|mubarak|diwali|warmest|best wishes|"
    "thinking of you|wishing you|many happy",
    "congratulations": "congratulations|congrats|congratulate|well done|so proud|proud of|kudos|great job|well deserved",
    "hello for its own sake": "say hello|say hi|saying hello|saying hi|wanted to say|hello from|greetings from|greetings|how are you|"
    "hope all is|hope you are|finds you well",
    "greeting line": "hi|hello|dear|hey|good morning|good afternoon|good evening|hi all|hello all|hi everyone|dear all",
    "thanks and sign-off": "thanks|thank you|regards|sincerely|cheers|kind regards|warm regards|thank you for|for your note|kind words",
    "fraud talk": "next of kin|million dollars|beneficiary|deceased|transfer the|strictly confidential|lottery|foreign partner|"
    "late husband|bank account|verify your|account has been|suspended|usd|atm card|inheritance",
    "technical talk": "error|patch|bug|kernel|install|version|server|commit|compile|config|file|driver|log|test|build|module|"
    "package|debian|linux|python|command|code",
    "report or news": "report|article|news|attached|fyi|reuters|press|statement|according to|said|update|draft|memo|story|announced",
    "question": "do you|can you|could you|how do|is there|does anyone|any idea|please advise|what do you",
    "receipt or notice": "receipt|invoice|your order|order number|payment|shipped|tracking|transaction|confirmation|delivery status|"
    "undeliverable|out of office|out of the|auto reply|automatic reply|failure notice",
}
