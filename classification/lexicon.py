"""Phrases of one to three words that people would point at, in named groups; each group is a signal.

encoding.py counts them by the same hashed look-up that finds the learned words, so a longer list costs no time.
"""

# Each list is a signal of its own: its value grows with the number of its phrases that stand in the email.
LEXICON: dict[str, str] = {
    "weekday or day named": "monday|tuesday|wednesday|thursday|friday|saturday|sunday|mon|tue|tues|wed|thu|thur|thurs|fri|"
    "today|tomorrow|tonight|next week|this week|this afternoon|this morning|this evening",
    "month named": "january|february|march|april|may|june|july|august|september|october|november|december|jan|feb|apr|jun|"
    "jul|aug|sept|sep|oct|nov|dec",
    "clock time": "#time|am|pm|a m|p m|noon|midnight|o'clock|est|edt|pst|pdt|cst|gmt|utc|cet",
    "arranging a meeting": "meet|meeting|meetings|call me|conference call|conf call|appointment|reschedule|rescheduled|"
    "schedule a|scheduled for|calendar|invitation|invite|invited|rsvp|agenda|lunch|dinner|breakfast|coffee|drinks|"
    "webinar|interview|seminar|workshop|join us|join me|dial in|bridge line|passcode|conference room|zoom|teams|webex|"
    "hangout|get together|see you at|see you on|see you there|look forward to seeing|stop by|drop by|come by",
    "asking for a time": "are you available|are you free|you free|you available|your availability|what time|works for you|"
    "work for you|time works|that work|can you do|let me know if|convenient for you|suits you|does that|can we meet|"
    "can we talk|can you meet|can you join|can you call|shall we|would you like to|be able to attend|be able to join|"
    "pencilled|push back|postpone|postponed|cancel|cancelled|canceled|i can make|can't make|cannot make|unable to attend",
    "past meeting": "minutes of|meeting minutes|notes from|after the meeting|at the meeting|was discussed|we discussed|"
    "yesterday's meeting|last meeting|in the meeting|last week",
    "selling words": "offer|offers|discount|sale|save|savings|buy|order now|order|free|deal|deals|coupon|promo|promotion|"
    "price|prices|shop|limited time|exclusive|special|guarantee|guaranteed|cheap|subscribe|click here|click below|"
    "best price|risk free|money back|act now|bonus|gift card|voucher|win|winner|earn|income|credit|mortgage|viagra|pills",
    "asking for donations": "donate|donation|chip in|contribute|contribution|contributions|pitch in|campaign|democrats|"
    "republican|matched|match|petition|pledge|fundraising|deadline|paid for by",
    "way out of a mailing": "unsubscribe|opt out|opt-out|to be removed|be removed from|remove me|mailing list|email preferences|"
    "view in browser|view this email|you received this|you are receiving|no longer wish|privacy policy|all rights reserved",
    "introduction": "introduce|introducing|introduction|introduced|my name is|i am writing to|i'm the new|i am the new|"
    "new hire|new member|new to the|new to this|just joined|has joined|have joined|joined the|joining us|joining our|"
    "will be joining|meet our|get to know|nice to meet|nice meeting|great to meet|good to meet|pleasure to meet|"
    "pleasure meeting|put you in|in touch with|connect you|connecting you|meet you|i'd like you|you two|cc'd|first day|"
    "let me introduce|allow me to|myself|newest|announce that|pleased to announce|appointed|resume|cv",
    "welcome": "welcome|welcome to|welcome aboard|welcoming|getting started|get started|your account|thanks for joining|"
    "thank you for joining|thanks for signing|for signing up|glad to have|happy to have|onboarding|on board|registering|"
    "confirm your|activate your|newcomer|first steps",
    "greeting for its own sake": "happy birthday|happy new|new year|happy holidays|merry christmas|happy thanksgiving|"
    "congratulations|congrats|best wishes|warmest|season's greetings|say hello|say hi|saying hello|just wanted to say|"
    "hello from|greetings from|happy easter|happy anniversary|eid mubarak|happy diwali|thinking of you|well done",
    "greeting line": "hi|hello|dear|hey|greetings|good morning|good afternoon|good evening|hi all|hello all|hi everyone",
    "thanks and sign-off": "thanks|thank you|regards|best regards|sincerely|cheers|best wishes|kind regards|warm regards",
    "fraud talk": "next of kin|million dollars|beneficiary|deceased|transfer the|strictly confidential|lottery|foreign partner|"
    "late husband|bank account|verify your|account has been|suspended|usd|atm card|inheritance",
    "machine or technical talk": "error|patch|bug|kernel|install|version|server|commit|compile|config|file|driver|log|test|"
    "build|module|package|debian|linux|python|command|code",
    "report or news": "report|article|news|attached|fyi|reuters|press|statement|according to|said|update|draft|memo|story",
    "question": "do you|can you|could you|how do|is there|does anyone|any idea|please advise|what do you",
    "receipt or notice": "receipt|invoice|your order|order number|payment|shipped|tracking|transaction|confirmation|password|"
    "delivery status|undeliverable|out of office|auto reply|automatic reply|failure notice",
}
